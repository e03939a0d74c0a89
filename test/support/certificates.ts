import { generateKeyPairSync, randomBytes } from 'node:crypto';
import forge from 'node-forge';

const DAY_MS = 86_400_000;

export interface Issued {
  /** PEM. */
  readonly cert: string;
  readonly key: string;
}

export interface IssuedFor {
  readonly name?: string;
  /** Names and addresses of a server. */
  readonly hosts?: readonly string[];
  readonly from?: Date;
  readonly until?: Date;
}

/** A certificate authority of one test. */
export class Authority {
  readonly #own: { readonly cert: forge.pki.Certificate; readonly key: forge.pki.PrivateKey };
  /** PEM. */
  readonly ca: string;

  constructor(name = 'Test authority') {
    const { publicKey, privateKey } = keys();
    const cert = certificate(publicKey, { name });
    cert.setIssuer(subject(name));
    cert.setExtensions([
      { name: 'basicConstraints', cA: true },
      { name: 'keyUsage', keyCertSign: true },
    ]);
    const key = forge.pki.privateKeyFromPem(privateKey);
    cert.sign(key, forge.md.sha256.create());
    this.#own = { cert, key };
    this.ca = forge.pki.certificateToPem(cert);
  }

  /** For a server or a client. */
  issue(of: IssuedFor = {}): Issued {
    const { publicKey, privateKey } = keys();
    const cert = certificate(publicKey, of);
    cert.setIssuer(this.#own.cert.subject.attributes);
    const { hosts = ['localhost', '127.0.0.1'] } = of;
    cert.setExtensions([
      { name: 'basicConstraints', cA: false },
      { name: 'extKeyUsage', serverAuth: true, clientAuth: true },
      {
        name: 'subjectAltName',
        altNames: hosts.map((host) => (/^[\d.]+$/.test(host) ? { type: 7, ip: host } : { type: 2, value: host })),
      },
    ]);
    cert.sign(this.#own.key as forge.pki.rsa.PrivateKey, forge.md.sha256.create());
    return { cert: forge.pki.certificateToPem(cert), key: privateKey };
  }
}

function keys(): { readonly publicKey: string; readonly privateKey: string } {
  return generateKeyPairSync('rsa', {
    modulusLength: 2_048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
}

function certificate(publicKey: string, { name = 'Test', from, until }: IssuedFor): forge.pki.Certificate {
  const cert = forge.pki.createCertificate();
  cert.publicKey = forge.pki.publicKeyFromPem(publicKey);
  cert.serialNumber = `01${randomBytes(8).toString('hex')}`;
  cert.validity.notBefore = from ?? new Date(Date.now() - DAY_MS);
  cert.validity.notAfter = until ?? new Date(Date.now() + 365 * DAY_MS);
  cert.setSubject(subject(name));
  return cert;
}

const subject = (name: string): forge.pki.CertificateField[] => [{ name: 'commonName', value: name }];
