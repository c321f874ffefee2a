import { isRepository } from '../oci/index.ts';
import type { ApiRequest, Handler, Layer, Reply } from './exchange.ts';
import type { Route, RouteName } from './routes.ts';
import { errorReply } from './wire-errors.ts';

export type EndpointHandler = (request: ApiRequest, route: Route) => Promise<Reply>;

/** What an endpoint does for each method. */
export type Methods = Readonly<Partial<Record<string, EndpointHandler>>>;

export type Endpoints = Readonly<Partial<Record<RouteName, Methods>>>;

/**
 * The layer that refuses repositories that cannot be. It stands before authentication, whose challenge
 * repeats the name in a header.
 */
export const refuseInvalidNames: Layer = (next) => async (request) => {
  const repository = request.route?.repository ?? '';
  if (repository !== '' && !isRepository(repository)) {
    return errorReply('NAME_INVALID', 'invalid repository name');
  }
  return next(request);
};

/** The innermost handler: finds who answers, and refuses unknown paths and wrong methods. */
export function dispatch(endpoints: Endpoints): Handler {
  return async (request) => {
    const { route } = request;
    const methods = route && endpoints[route.name];
    if (!methods) return errorReply('UNSUPPORTED', 'no such endpoint', { status: 404 });
    const handler = methods[request.method];
    if (!handler) {
      const allow = Object.keys(methods).join(', ');
      return errorReply('UNSUPPORTED', `only ${allow} here`, { headers: { allow } });
    }
    return handler(request, route);
  };
}
