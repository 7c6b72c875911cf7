// Scopes and the claims that each stands for (OIDC Core §5.4).

export const scopesSupported = ['openid', 'offline_access', 'profile', 'email'];

export const claims = {
  acr: null,
  auth_time: null,
  iss: null,
  sid: null,
  openid: ['sub'],
  profile: ['name'],
  email: ['email', 'email_verified'],
};
