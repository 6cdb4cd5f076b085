// The page that takes an app the answer about a connection. Without this script, or
// where it sends nothing, the form takes it there.
'use strict';

{
  const answer = document.getElementById('answer');
  const fields = answer.querySelectorAll('input[type=hidden]');
  const forget = () => fields.forEach(field => field.remove());

  // The answer is shown this once: whoever comes back here is asked anew, with a
  // GET, and finds nothing of it in the browser's memory.
  history.replaceState(null, '', location.href);
  addEventListener('pagehide', forget);

  // The browser gives the message to a window of this origin or to nobody. Who
  // else may have opened this window learns nothing.
  const origin = answer.dataset.to;
  if (origin && window.opener && !window.opener.closed) {
    const message = {};
    for (const field of fields) message[field.name] = field.value;
    message.success = message.success === 'true';
    window.opener.postMessage(message, origin);
    document.getElementById('open').remove();
    document.getElementById('sent').hidden = false;
    window.close();
  }
}
