import type { Holder } from '../../contracts/ports/certificate.ts';

/** How a ledger row shows its holder to whoever reads the row: surname, and the ends of the number. */
export function maskedHolder({ name, idNo }: Holder): string {
  const [surname = ''] = name;
  return `${surname}* ${idNo.slice(0, 6)}${'*'.repeat(Math.max(0, idNo.length - 10))}${idNo.slice(-4)}`;
}
