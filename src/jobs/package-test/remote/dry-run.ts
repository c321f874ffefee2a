import { type SchedulePayload, type TaskRequest, toPayload } from '../../../alts/index.ts';
import { redactText } from '../../../base/index.ts';

/** What a dry run says would be sent. */
export interface PlannedRequests {
  readonly method: 'POST';
  readonly url: string;
  /** The bodies, one request each. */
  readonly payloads: readonly SchedulePayload[];
}

/** What submitting would send, without secrets. */
export function plannedRequests(scheduler: URL, requests: readonly TaskRequest[]): PlannedRequests {
  const url = new URL(`${scheduler.pathname.replace(/\/$/, '')}/tasks/schedule`, scheduler);
  return {
    method: 'POST',
    url: url.href,
    payloads: requests.map((request) => shownPayload(toPayload(request))),
  };
}

/** A payload fit for eyes: only the user info of its URLs, and what looks like a secret in them and in variables, is hidden. */
export function shownPayload(payload: SchedulePayload): SchedulePayload {
  const { repositories, callback_url: callback, test_configuration: configuration } = payload;
  return {
    ...payload,
    repositories: repositories.map(({ name, baseurl, url }) => ({
      ...(name === undefined ? {} : { name }),
      baseurl: redactText(baseurl),
      url: redactText(url),
    })),
    ...(callback === undefined ? {} : { callback_url: redactText(callback) }),
    ...(configuration && {
      test_configuration: {
        ...configuration,
        tests: configuration.tests.map((test) => ({ ...test, url: redactText(test.url) })),
        ...(configuration.test_env && {
          test_env: { extra_env_vars: configuration.test_env.extra_env_vars.map(redactText) },
        }),
      },
    }),
  };
}
