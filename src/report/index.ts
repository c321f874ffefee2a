/**
 * report: what was found, ready to be shown. One model (model.ts) that jobs fill, and one renderer per
 * format that turns it into text: a table for people, a line for monitoring systems. Pure; JSON is not
 * made here, it carries the job's own result.
 */
export * from './model.ts';
export { type NagiosState, nagiosLine, renderNagios } from './nagios.ts';
export { renderTable, type TableOptions } from './table.ts';
