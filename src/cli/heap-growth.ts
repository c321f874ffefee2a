import { setFlagsFromString } from 'node:v8';

/**
 * Lets V8's heap grow to twice what lives in it before its garbage is collected, for commands that stream: V8
 * counts the buffers that come and go as growth of a heap in which little else happens, and would collect once or
 * twice a second, for a tenth and more of all processor time of a push.
 */
export function letHeapGrow(): void {
  setFlagsFromString('--heap-growing-percent=100');
}
