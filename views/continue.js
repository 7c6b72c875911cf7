// Submits the page's form, as a click on its button would.
document.forms[0].submit();
