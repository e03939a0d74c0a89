import { Fault } from '../../contracts/ports/fault.ts';

/** It certainly did not arrive. */
export function notConnected(code: string, cause: unknown): Fault {
  const refused = code === 'ECONNREFUSED';
  return new Fault('unreachable', {
    reason: refused
      ? { code: 'connectRefused', zh: '对方系统未开启，连接被拒绝', en: 'nobody listens at their address' }
      : {
          code: 'notConnected',
          zh: `无法连接对方系统（${code}）`,
          en: `their system could not be connected to (${code})`,
        },
    cause,
  });
}
