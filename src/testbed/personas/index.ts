/**
 * personas: the quirks of the registries that clients meet, as a table (table.ts) and a few mechanisms that play
 * them: a layer in front of authentication (edge.ts), and layers around the endpoints (quirks.ts).
 */
export { playEdge } from './edge.ts';
export type { Persona } from './model.ts';
export { type PersonaParts, personaEndpoints } from './quirks.ts';
export { PERSONA_NAMES, PERSONAS, type PersonaName } from './table.ts';
