// The library's `features`, from the configuration's `features`; provider.mjs lists them.

import { randomBytes } from 'node:crypto';
import { hasMtls, mtlsFeature } from './tls.mjs';

const NONCE_SECRET_BYTES = 32;
const KEY_ENCRYPTION = ['A128KW', 'A256KW', 'ECDH-ES', 'ECDH-ES+A256KW', 'RSA-OAEP', 'RSA-OAEP-256', 'dir'];

export const DEFAULT_FEATURES = {
  acr_values: [],
  authorization_details_types: [],
  claims_parameter: false,
  dpop_nonce: false,
  encryption: false,
  fapi: false,
  jarm: false,
  jwt_introspection: false,
  jwt_userinfo: false,
  more_algorithms: false,
  par_required: false,
  registration_token: null,
  request_objects: false,
  resources: {},
  rotate_registration_token: true,
};

function dpopFeature({ dpop_nonce: required }) {
  return {
    enabled: true,
    nonceSecret: required ? randomBytes(NONCE_SECRET_BYTES) : undefined,
    requireNonce: () => required,
  };
}

function registrationFeatures({ registration_token: token, rotate_registration_token: rotate }) {
  const enabled = token !== null;
  return {
    registration: { enabled, initialAccessToken: token ?? false },
    registrationManagement: { enabled, rotateRegistrationAccessToken: rotate },
  };
}

/** RFC 8707: each known resource has its scopes and the format of its access tokens. */
function resourceFeature({ resources }, InvalidTarget) {
  return {
    enabled: true,
    getResourceServerInfo: (ctx, indicator) => {
      if (!Object.hasOwn(resources, indicator)) throw new InvalidTarget();
      const { scope = '', format = 'opaque', alg = 'RS256' } = resources[indicator];
      return { scope, audience: indicator, accessTokenFormat: format, jwt: { sign: { alg } } };
    },
  };
}

/** RFC 9396: what the user was asked for is what the grant, the token and the introspection answer carry. */
function authorizationDetailsFeature({ authorization_details_types: types }) {
  return {
    enabled: types.length > 0,
    types: Object.fromEntries(types.map((type) => [type, { validate: () => undefined }])),
    authorizationDetailsForGrantSource: (ctx) => ctx.oidc.grant.rar,
    authorizationDetailsForAccessToken: (ctx, token, source) => source.rar,
    authorizationDetailsForIntrospection: (ctx, token) => token.rar,
  };
}

/** The library's own choice of key encryption and the agreement that wraps the content key, its own signatures and MACs. */
export function enabledAlgorithms({ encryption, more_algorithms: more }) {
  const kinds = encryption ? ['idToken', 'userinfo', 'authorization', 'introspection', 'requestObject'] : [];
  const signing = more ? { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519', 'HS256'] } : {};
  return { ...signing, ...Object.fromEntries(kinds.map((kind) => [`${kind}EncryptionAlgValues`, KEY_ENCRYPTION])) };
}

export function providerFeatures(config, { InvalidTarget }) {
  const { features } = config;
  return {
    backchannelLogout: { enabled: true },
    claimsParameter: { enabled: features.claims_parameter },
    devInteractions: { enabled: false },
    dPoP: dpopFeature(features),
    encryption: { enabled: features.encryption },
    // The profile is a client's, so that one provider serves clients with and without it.
    fapi: { enabled: features.fapi, profile: (ctx, client) => client?.fapi_profile },
    introspection: { enabled: true },
    jwtIntrospection: { enabled: features.jwt_introspection },
    jwtResponseModes: { enabled: features.jarm },
    jwtUserinfo: { enabled: features.jwt_userinfo },
    mTLS: mtlsFeature(hasMtls(config)),
    pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: features.par_required },
    requestObjects: { enabled: features.request_objects },
    resourceIndicators: resourceFeature(features, InvalidTarget),
    revocation: { enabled: true },
    richAuthorizationRequests: authorizationDetailsFeature(features),
    userinfo: { enabled: true },
    ...registrationFeatures(features),
  };
}
