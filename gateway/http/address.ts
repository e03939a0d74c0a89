import ipaddr from 'ipaddr.js';
import proxyAddr from 'proxy-addr';

/** Whether this address is a proxy of ours, whose `X-Forwarded-For` is believed. */
export type IsTrusted = (address: string) => boolean;

/** @param proxies addresses or CIDR ranges, which the settings have checked */
export function trustedProxies(proxies: readonly string[]): IsTrusted {
  const trusts = proxyAddr.compile([...proxies]);
  return (address) => trusts(address, 0);
}

/** IPv4 written as IPv6 is IPv4. What is no address stays as it is, cut to a length that no address exceeds. */
export function plainAddress(address: string | undefined): string {
  if (address === undefined || !ipaddr.isValid(address)) return (address ?? 'unknown').slice(0, 45);
  return ipaddr.process(address).toString();
}

/** What counts as one caller: an IPv4 address, or the /64 of IPv6, which one customer of a network has whole. */
export function networkOf(address: string): string {
  if (!ipaddr.IPv6.isValid(address)) return address;
  const { parts } = ipaddr.IPv6.parse(address);
  return `${parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(':')}::/64`;
}
