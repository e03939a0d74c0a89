import { lookup } from 'node:dns/promises';
import { BlockList, isIPv4 } from 'node:net';
import { wallClock } from '../contracts/ports/clock.ts';
import { within } from '../contracts/within.ts';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** How long a name server may take. */
const LOOKUP_MS = 5_000;

/**
 * Whether nobody but this machine reaches what listens on `host`: an address (127.0.0.0/8, ::1, and either written as IPv6), or a name all of whose addresses are
 * such. A name that cannot be looked up is none.
 */
export async function isLoopback(host: string): Promise<boolean> {
  try {
    const addresses = await within(lookup(host, { all: true }), LOOKUP_MS, 'the look-up of HOST', wallClock);
    return addresses.every(({ address }) => loopback.check(address, isIPv4(address) ? 'ipv4' : 'ipv6'));
  } catch {
    return false;
  }
}
