import { API_VERSION } from './replies.ts';
import { SCRIPTS } from './scripts.ts';

const STATES = `Celery's states: PENDING (queued; also every id that is unknown, mistyped or expired), STARTED (a worker
has it), and for the end SUCCESS, FAILURE, REVOKED. SUCCESS only says that the worker came back: whether the package
passed is in the stages of the result. Results are forgotten after an hour.`;

const SCRIPTED = `What a test comes to hangs on the ending of its package's name:
${Object.entries(SCRIPTS)
  .map(([ending, { meaning }]) => `-${ending}: ${meaning}`)
  .join('\n')}
Any other is run on a container engine, if the testbed has one, and else passes.`;

const answers = (meanings: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(meanings).map(([status, description]) => [status, { description }]));

const DENIALS = {
  '401': 'the token is not signed with the secret (HS256, HS384 or HS512), or has expired',
  '403': 'no bearer token',
};

/**
 * The API in OpenAPI's words, for people and for clients that look what there is.
 *
 * @param submissions false for ALTS since November 2023, which has no `POST /tasks/schedule`
 */
export function openApi(submissions: boolean): object {
  const security = [{ HTTPBearer: [] }];
  return {
    openapi: '3.0.2',
    info: {
      title: 'AlmaLinux Test System (regops testbed)',
      version: API_VERSION,
      description: `${STATES}\n\n${SCRIPTED}`,
    },
    paths: {
      ...(submissions && {
        '/tasks/schedule': {
          post: {
            summary: 'queue the test of a package',
            security,
            responses: answers({
              '201': 'queued: {success, task_id, api_version}',
              '400': 'not queued: the broker failed; with a task_id: queued, but not written down',
              ...DENIALS,
              '422': 'a field is missing or wrong',
              '500': 'no runner is configured for it (architecture, distribution, runner_type)',
              '503': 'too many requests at once',
            }),
          },
        },
      }),
      '/tasks/{task_id}/result': {
        get: {
          summary: 'how a test stands: {state, result?, api_version}',
          description: STATES,
          security,
          parameters: [{ name: 'task_id', in: 'path', required: true, schema: { type: 'string' } }],
          responses: answers({ '200': 'always, also for ids that nobody knows', ...DENIALS }),
        },
      },
    },
    components: { securitySchemes: { HTTPBearer: { type: 'http', scheme: 'bearer' } } },
  };
}

/** The same as a page of text. */
export function apiText(submissions: boolean): string {
  const { info, paths } = openApi(submissions) as {
    info: { title: string; description: string };
    paths: Record<
      string,
      Record<string, { summary: string; responses: Record<string, { description: string }> }>
    >;
  };
  const calls = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { summary, responses }]) =>
      [
        `${method.toUpperCase()} ${path}: ${summary}`,
        ...Object.entries(responses).map(([status, { description }]) => `  ${status} ${description}`),
      ].join('\n'),
    ),
  );
  return `${[info.title, ...calls, info.description].join('\n\n')}\n`;
}
