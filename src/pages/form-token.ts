export { formToken, isFormToken } from './forms.ts';
