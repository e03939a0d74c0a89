import { countOf } from '../../../contracts/count.ts';
import type { JsonObject } from '../../../contracts/ports/envelope.ts';
import { Fault } from '../../../contracts/ports/fault.ts';
import { decodeText, type Encoding, encodeText, type OnLoss } from './encoding.ts';
import { unreadable } from './unreadable.ts';

export interface FixedField {
  readonly name: string;
  /** Of the record's encoding. */
  readonly bytes: number;
  readonly align?: 'left' | 'right';
  /** One ASCII character; a space unless told. */
  readonly pad?: string;
  /** May be missing at the record's end, it and all behind it. */
  readonly optional?: boolean;
}

export type FixedLayout = readonly FixedField[];

/** @throws Fault `malformed` (ours, code `fieldTooLong`) when a value does not fit: a cut would be somebody's wrong name */
export function buildFixed(
  layout: FixedLayout,
  values: JsonObject,
  encoding: Encoding,
  onLoss: OnLoss = 'refuse',
): Buffer {
  const parts: Buffer[] = [];
  const lastGiven = layout.findLastIndex(({ name, optional }) => optional !== true || (values[name] ?? null) !== null);
  for (const { name, bytes, align = 'left', pad = ' ' } of layout.slice(0, lastGiven + 1)) {
    const value = values[name];
    const encoded = encodeText(value === undefined || value === null ? '' : String(value), encoding, onLoss);
    if (encoded.length > bytes) {
      throw new Fault('malformed', {
        ours: true,
        maybeArrived: false,
        reason: {
          code: 'fieldTooLong',
          zh: `字段 ${name} 为 ${encoded.length} 字节，超过该系统允许的 ${bytes} 字节，未发送`,
          en: `field ${name} takes ${countOf(encoded.length, 'byte')}, and their record has ${bytes}; it was not sent`,
        },
      });
    }
    const padding = Buffer.alloc(bytes - encoded.length, pad);
    parts.push(...(align === 'left' ? [encoded, padding] : [padding, encoded]));
  }
  return Buffer.concat(parts);
}

/** Texts without their padding; a number keeps at least one digit. @throws Fault `malformed` (theirs) when the record is too short or too long */
export function openFixed(layout: FixedLayout, record: Uint8Array, encoding: Encoding | 'auto'): JsonObject {
  const values: JsonObject = {};
  let at = 0;
  for (const { name, bytes, align = 'left', pad = ' ', optional } of layout) {
    if (at === record.length && optional === true) break;
    if (at + bytes > record.length) {
      throw unreadable(
        'recordShort',
        `定长报文不足：字段 ${name} 需到第 ${at + bytes} 字节，实收 ${record.length}`,
        `the record is too short: ${name} ends at byte ${at + bytes}, and ${record.length} came`,
      );
    }
    const text = decodeText(record.subarray(at, at + bytes), encoding);
    values[name] = align === 'left' ? text.trimEnd() : stripped(text, pad);
    at += bytes;
  }
  if (at !== record.length) {
    throw unreadable(
      'recordLong',
      `定长报文过长：应为 ${at} 字节，实收 ${record.length}`,
      `the record is too long: ${countOf(at, 'byte')} ${at === 1 ? 'is' : 'are'} expected, and ${record.length} came`,
    );
  }
  return values;
}

function stripped(text: string, pad: string): string {
  let from = 0;
  while (from < text.length - 1 && text[from] === pad) from += 1;
  return text.slice(from).trim();
}
