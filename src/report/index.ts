/**
 * report: what was found, ready to be shown. One model (model.ts) that jobs fill, and one renderer per
 * format that turns it into text: a table for people, a page for their browser, a line for monitoring
 * systems, files for CI and Prometheus. Pure; JSON is not made here, it carries the job's own result.
 */
export { renderHtml } from './html.ts';
export { renderJunit } from './junit.ts';
export * from './model.ts';
export { type NagiosState, nagiosLine, renderNagios } from './nagios.ts';
export { renderPrometheus } from './prometheus.ts';
export { renderTable, type TableOptions } from './table.ts';
