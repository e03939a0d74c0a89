import type { PublicEvent } from '../../contracts/ports/public-event.ts';

export const CONTENT_TYPE = 'application/cloudevents+json';

/** CloudEvents 1.0, JSON event format, with the extensions for sequence and distributed tracing. */
export function cloudEvent(event: PublicEvent, source: string): Buffer {
  const { id, kind, subject, sequence, time, traceparent, data } = event;
  return Buffer.from(
    JSON.stringify({
      specversion: '1.0',
      id,
      source,
      type: `cn.onewindow.${kind}.v1`,
      // An attribute without a value is left out.
      ...(subject === null ? {} : { subject }),
      time,
      datacontenttype: 'application/json',
      // Absolute, as the specification asks: what follows the last colon is the name at /v1/contracts/.
      dataschema: `urn:onewindow:contract:event.${kind}@1`,
      ...(sequence === null ? {} : { sequence }),
      ...(traceparent === null || traceparent === '' ? {} : { traceparent }),
      data,
    }),
  );
}
