// The listeners, and what the provider reads in a client's certificate (RFC 8705).

import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { readFileSync } from 'node:fs';

const SAN_KINDS = {
  tls_client_auth_san_dns: 'DNS',
  tls_client_auth_san_email: 'email',
  tls_client_auth_san_ip: 'IP Address',
  tls_client_auth_san_uri: 'URI',
};

export const MTLS_ALIASES = {
  token_endpoint: '/token',
  revocation_endpoint: '/token/revocation',
  introspection_endpoint: '/token/introspection',
  pushed_authorization_request_endpoint: '/request',
  userinfo_endpoint: '/me',
};

function peerCertificate(ctx) {
  return ctx.req.socket.getPeerX509Certificate?.();
}

/** The subject as RFC 4514 writes it: the last relative name first. */
function subjectName(certificate) {
  return certificate.subject.split('\n').reverse().join(',');
}

function hasAlternativeName(certificate, kind, expected) {
  return (certificate.subjectAltName ?? '').split(', ').includes(`${kind}:${expected}`);
}

function certificateSubjectMatches(ctx, property, expected) {
  const certificate = peerCertificate(ctx);
  if (property === 'tls_client_auth_subject_dn') return subjectName(certificate) === expected;
  return hasAlternativeName(certificate, SAN_KINDS[property], expected);
}

export function mtlsFeature(enabled) {
  return {
    enabled,
    certificateBoundAccessTokens: true,
    selfSignedTlsClientAuth: true,
    tlsClientAuth: true,
    getCertificate: peerCertificate,
    certificateAuthorized: (ctx) => ctx.req.socket.authorized,
    certificateSubjectMatches,
  };
}

/** Whether clients can present a certificate: at a listener of its own, or at the issuer's. */
export function hasMtls(config) {
  return config.mtls_port !== undefined || config.request_certificates;
}

/** The members of the metadata that name the listener which asks for certificates (RFC 8705 5). */
export function mtlsMetadata(config) {
  if (config.mtls_port === undefined) return {};
  const origin = `https://${config.host}:${config.mtls_port}`;
  const aliases = Object.entries(MTLS_ALIASES).map(([name, path]) => [name, `${origin}${path}`]);
  return { mtls_endpoint_aliases: Object.fromEntries(aliases) };
}

function httpsServer({ tls }, requestCert, handler) {
  const options = {
    cert: readFileSync(tls.certificate),
    key: readFileSync(tls.key),
    ca: readFileSync(tls.ca),
    requestCert,
    // A self-signed certificate gets as far as the provider, which compares it with the registered one.
    rejectUnauthorized: false,
  };
  return createHttpsServer(options, handler);
}

/** Each server of this configuration with its port, the issuer's own first. */
export function makeServers(config, handler) {
  const issuer = config.https ? httpsServer(config, config.request_certificates, handler) : createHttpServer(handler);
  const servers = [[issuer, config.port]];
  if (config.mtls_port !== undefined) servers.push([httpsServer(config, true, handler), config.mtls_port]);
  return servers;
}
