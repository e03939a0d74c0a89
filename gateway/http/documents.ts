import type { Purpose } from '../../contracts/ports/certificate.ts';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import type { Documents, VerificationClaim, Verifications } from '../../contracts/ports/retrieval.ts';
import { json, type SignedRoute } from './route.ts';
import { verificationView } from './views.ts';

export interface DocumentParts {
  readonly documents: Documents;
  readonly verifications: Verifications;
  /** SM2, 130 hex: by which the seals of documents are checked. */
  readonly sealKey: string;
}

const EXTENSION = { 'application/pdf': 'pdf', 'application/ofd': 'ofd' } as const;

/** Files of certificates, and whether what somebody shows is true. */
export function documentRoutes({ documents, verifications, sealKey }: DocumentParts): readonly SignedRoute[] {
  return [
    {
      method: 'POST',
      path: '/v1/certificates/documents',
      id: 'fetchDocument',
      tag: 'certificates',
      access: ['window'],
      words: { zh: '凭一次性使用码领取证照文件', en: 'Fetch the file of a certificate by its one-time use code' },
      more: {
        zh: '使用码限领一次、限时、限原调取应用。加注件（annotated）在每页注明仅供何事项、何机关、何日、何办件使用。X-Document-Digest 为文件的 SM3，X-Document-Seal 为本系统的 SM2 签章。',
        en: 'A use code is good once, for a short time, for the app that retrieved it. An annotated copy says on every page for what item, agency, day and case it is. X-Document-Digest is the SM3 of the file, X-Document-Seal our SM2 signature over `onewindow-document:1`, digest, identifier and case number, one a line.',
      },
      body: { schema: 'certificate.document@1' },
      replies: {
        200: { words: { zh: '文件', en: 'The file' }, type: 'application/octet-stream' },
        403: {
          words: {
            zh: '使用码属于其他应用，或授权已撤回、过期',
            en: "Another caller's code, or the mandate has ended",
          },
          schema: 'problem@1',
        },
        404: { words: { zh: '没有该使用码', en: 'No such code' }, schema: 'problem@1' },
        410: { words: { zh: '使用码已用过或已过期', en: 'Used before, or run out' }, schema: 'problem@1' },
        422: {
          words: { zh: '该文件不能加注，可改领原件', en: 'It cannot be annotated: ask for the file as it is' },
          schema: 'problem@1',
        },
        502: { words: { zh: '来源给出的文件不可信', en: 'The file is not what its source says' }, schema: 'problem@1' },
      },
      async handle({ caller, body, traceparent }) {
        const { useCode, annotated = false } = body as { readonly useCode: string; readonly annotated?: boolean };
        const file = await documents.handOut({ useCode, annotated, appKey: caller.appKey, traceparent });
        return {
          status: 200,
          headers: {
            'Content-Type': file.mediaType,
            'Content-Length': String(file.bytes),
            'Content-Disposition': `attachment; filename="certificate.${EXTENSION[file.mediaType]}"`,
            'X-Document-Digest': `sm3:${file.sm3}`,
            'X-Document-Original': `sm3:${file.originalSm3}`,
            'X-Document-Seal': file.seal,
            ...(file.identifier === null ? {} : { 'X-Certificate-Identifier': encodeURIComponent(file.identifier) }),
          },
          content: file.content,
        };
      },
    },
    {
      method: 'POST',
      path: '/v1/certificates/verifications',
      id: 'verifyCertificate',
      tag: 'certificates',
      access: ['window', 'department'],
      words: {
        zh: '核验证照：按标识、按类型与编号、或按文件摘要与签章',
        en: 'Verify a certificate by identifier, by type and number, or by the digest and seal of a file',
      },
      body: { schema: 'certificate.verify@1' },
      replies: { 200: { words: { zh: '核验结论', en: 'The verdict' }, schema: 'Verification' } },
      async handle({ caller, body, traceparent }) {
        const { clerk, basis, channel = 'window', ...claim } = body as unknown as Verifying;
        const by = { appKey: caller.appKey, clerk, basis, channel, traceparent };
        return json(200, verificationView(await verifications.verify(claim as VerificationClaim, by)));
      },
    },
    {
      method: 'GET',
      path: '/v1/certificates/seal-key',
      id: 'getSealKey',
      tag: 'certificates',
      access: ['window', 'department', 'operator', 'auditor'],
      words: { zh: '文件签章的公钥（SM2）', en: 'The public key of the documents’ seals (SM2)' },
      replies: { 200: { words: { zh: '公钥', en: 'The key' }, schema: 'SealKey' } },
      handle: async () => json(200, { algorithm: 'SM2', userId: '1234567812345678', publicKey: sealKey }),
    },
  ];
}

/** As it passed `certificate.verify@1`. */
type Verifying = JsonObject & {
  readonly clerk: Purpose['clerk'];
  readonly basis: string;
  readonly channel?: string;
};
