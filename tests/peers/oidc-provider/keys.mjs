// The provider's keys. An RSA key is slow to make, so those that only one feature needs are made with that feature.

import { generateKeyPairSync } from 'node:crypto';

function privateKey(type, options, members) {
  return { ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), ...members };
}

function rsaKey(members) {
  return privateKey('rsa', { modulusLength: 2048 }, members);
}

function ecKey(members) {
  return privateKey('ec', { namedCurve: 'P-256' }, members);
}

/** One signing key for each algorithm that a client may ask for. */
function signingKeys(features) {
  const keys = [rsaKey({ alg: 'RS256', use: 'sig' }), ecKey({ alg: 'ES256', use: 'sig' })];
  if (features.more_algorithms) {
    keys.push(rsaKey({ alg: 'PS256', use: 'sig' }), privateKey('ed25519', {}, { use: 'sig' }));
  }
  return keys;
}

/** The keys that clients encrypt request objects to. */
function encryptionKeys(features) {
  if (!features.encryption || !features.request_objects) return [];
  return [rsaKey({ alg: 'RSA-OAEP-256', use: 'enc' }), ecKey({ alg: 'ECDH-ES', use: 'enc' })];
}

export function providerKeys(features) {
  return [...signingKeys(features), ...encryptionKeys(features)];
}
