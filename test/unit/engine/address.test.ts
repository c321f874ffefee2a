import { describe, expect, test } from 'vitest';
import { formatEngineAddress, parseEngineHost } from '../../../src/engine/address.ts';

describe('DOCKER_HOST', () => {
  test.each([
    [undefined, 'unix:///var/run/docker.sock'],
    ['', 'unix:///var/run/docker.sock'],
    ['unix://', 'unix:///var/run/docker.sock'],
    ['unix:///run/user/1000/docker.sock', 'unix:///run/user/1000/docker.sock'],
    ['tcp://192.0.2.1', 'tcp://192.0.2.1:2375'],
    ['tcp://engine.example.com:80', 'tcp://engine.example.com:80'],
    ['http://engine.example.com', 'tcp://engine.example.com:2375'],
    ['engine.example.com:4243', 'tcp://engine.example.com:4243'],
    ['tcp://[::1]:2375', 'tcp://[::1]:2375'],
    ['tcp://proxy.example.com:2375/engine/one/', 'tcp://proxy.example.com:2375/engine/one'],
  ])('%s is %s', (text, expected) => {
    expect(formatEngineAddress(parseEngineHost(text))).toBe(expected);
  });

  test('with certificates tcp is TLS, on a port of its own', () => {
    expect(parseEngineHost('tcp://192.0.2.1', true)).toMatchObject({ port: 2376, secure: true });
    expect(parseEngineHost('https://192.0.2.1')).toMatchObject({ port: 2376, secure: true });
    expect(parseEngineHost('tcp://192.0.2.1:2376')).toMatchObject({ secure: false });
  });

  test.each([
    ['ssh://anna@engine.example.com', 'ssh'],
    ['npipe:////./pipe/docker_engine', 'named pipes'],
    ['fd://', 'unknown scheme fd'],
    ['unix://docker.sock', 'absolute'],
    ['tcp://', 'not a host'],
    ['tcp://engine:port', 'not a host'],
  ])('%s is refused: %s', (text, why) => {
    expect(() => parseEngineHost(text)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
    expect(() => parseEngineHost(text)).toThrow(why);
  });

  test('a password in it is not repeated', () => {
    expect(() => parseEngineHost('tcp://anna:GEHEIM@engine:2375')).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('GEHEIM') }),
    );
  });
});
