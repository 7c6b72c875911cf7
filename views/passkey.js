// Passkeys: the browser's own dialog on the e-mail field, and the buttons. The browser's answer is put into the form,
// which is then sent like any other.
(() => {
  const webauthn = globalThis.SimpleWebAuthnBrowser;
  if (!webauthn?.browserSupportsWebAuthn()) return;
  for (const form of document.querySelectorAll('form[data-passkey]')) {
    const optionsJSON = JSON.parse(form.dataset.passkey);
    const answer = form.elements.namedItem('passkey');
    const problem = form.querySelector('[role=alert]');

    const ask = async (useBrowserAutofill) => {
      problem.hidden = true;
      try {
        const response =
          form.dataset.passkeyIs === 'new'
            ? await webauthn.startRegistration({ optionsJSON })
            : await webauthn.startAuthentication({ optionsJSON, useBrowserAutofill });
        answer.value = JSON.stringify(response);
        form.submit();
      } catch {
        // The failure of a dialog that nobody has clicked for is not shown.
        problem.hidden = useBrowserAutofill;
      }
    };

    form.hidden = false;
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      void ask(false);
    });
    if (form.dataset.passkeyIs === 'offered') {
      void webauthn.browserSupportsWebAuthnAutofill().then((isOffered) => isOffered && ask(true));
    }
  }
})();
