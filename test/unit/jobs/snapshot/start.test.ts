import { expect, test } from 'vitest';
import { newContainer } from '../../../../src/jobs/snapshot/start.ts';

const IMAGE = { id: `sha256:${'a'.repeat(64)}` };

test('saved settings become the engine’s, and flags win', () => {
  const settings = {
    hostname: 'sandbox',
    tty: true,
    memoryBytes: 1,
    ports: { '80/tcp': [{ hostIp: '', hostPort: '80' }] },
    restart: { name: 'always', maximumRetries: 0 },
    network: 'none',
  };
  expect(newContainer(IMAGE, settings, { name: 'x', command: ['sh'] })).toEqual({
    image: IMAGE.id,
    name: 'x',
    hostname: 'sandbox',
    tty: true,
    run: { command: ['sh'], exposedPorts: ['80/tcp'] },
    host: {
      memoryBytes: 1,
      networkMode: 'none',
      portBindings: settings.ports,
      restart: settings.restart,
    },
  });
  expect(newContainer(IMAGE, settings, { network: 'mine' }).host).toMatchObject({ networkMode: 'mine' });
});

test('a label does not choose the network of the host', () => {
  expect(newContainer(IMAGE, { network: 'host' }, {}).host).toEqual({});
  const shared = newContainer(IMAGE, { hostname: 'x', ports: { '80/tcp': [] } }, { network: 'host' });
  expect(shared.hostname).toBeUndefined();
  expect(shared.host).toEqual({ networkMode: 'host' });
});
