import { changedRequest, type Layer } from './exchange.ts';
import { errorReply } from './wire-errors.ts';

/**
 * The layer of a pull-through registry that lets its upstream be named: as the first part of a repository, as
 * ociregistry has it (`/v2/registry.example.com:5000/team/app/…`), or by containerd's `?ns=registry.example.com:5000`.
 * There is one upstream: another one is not found, in a path as far as its port tells it from a repository.
 */
export function addressUpstream(domain: string): Layer {
  const own = domain.toLowerCase();
  return (next) => async (request) => {
    const { route } = request;
    if (!route || route.repository === '' || !request.path.startsWith('/v2/')) return next(request);
    const namespace = request.query.get('ns');
    const slash = route.repository.indexOf('/');
    const first = slash === -1 ? '' : route.repository.slice(0, slash);
    const isNamed = first.toLowerCase() === own;
    const other = [namespace, first.includes(':') ? first : null].find(
      (name) => name !== null && name.toLowerCase() !== own,
    );
    if (other) {
      const message = `this cache pulls from ${domain} alone, not from ${other.slice(0, 255)}`;
      return errorReply('NAME_UNKNOWN', message);
    }
    if (!isNamed) return next(request);
    const { repository } = route;
    const local = { ...route, repository: repository.slice(slash + 1), addressedAs: repository };
    return next(changedRequest(request, { route: local }));
  };
}
