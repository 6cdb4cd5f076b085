package browser

// inspection is run in a page and returns what is wrong with it, as a list of
// sentences: contrast (WCAG 2.2, 1.4.3 and 1.4.11), names of fields (4.1.2), what sticks out
// at the side (1.4.10), the size of targets (2.5.8).
const inspection = `(() => {
  const wrong = [];
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = colour => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] / 255 + below[i] * (1 - top[3] / 255)).concat(255);
  const ground = element => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(rgba(getComputedStyle(e).backgroundColor));
    return layers.reduceRight((below, layer) => over(layer, below), rgba('Canvas'));
  };
  const light = colour => {
    const part = colour.slice(0, 3).map(c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
  };
  const contrast = (a, b) => {
    const [high, low] = [light(a), light(b)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  };
  const name = e => '<' + e.tagName.toLowerCase() + (e.className && e.className.baseVal === undefined ? '.' + e.className : '') + '> ' + (e.innerText || e.name || '').slice(0, 40);
  const shown = e => e.checkVisibility({opacityProperty: true, visibilityProperty: true}) && e.getClientRects().length > 0;

  for (const e of document.querySelectorAll('body *')) {
    if (!shown(e)) continue;
    const style = getComputedStyle(e);
    const says = [...e.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.data.trim());
    if (says || e.matches('input:not([type=hidden]), select, textarea')) {
      const ratio = contrast(over(rgba(style.color), ground(e)), ground(e));
      if (ratio < 4.5 && !e.disabled) wrong.push('contrast ' + ratio.toFixed(2) + ' of ' + name(e));
    }
    if (e.matches('input:not([type=hidden]), select, textarea')) {
      const edge = contrast(over(rgba(style.borderTopColor), ground(e.parentElement)), ground(e.parentElement));
      if (edge < 3) wrong.push('contrast ' + edge.toFixed(2) + ' of the border of ' + name(e));
      if (!e.labels.length && !e.ariaLabel) wrong.push('no label at ' + name(e));
    }
    if (e.matches('button, a.button, input:not([type=hidden]), select')) {
      const box = e.getBoundingClientRect();
      if (box.height < 24 && !e.closest('label')) wrong.push('only ' + box.height + ' px high: ' + name(e));
    }
    const box = e.getBoundingClientRect();
    if (box.right > document.documentElement.clientWidth + 1 && style.position !== 'absolute') wrong.push('sticks out at the right: ' + name(e));
  }
  if (document.documentElement.scrollWidth > document.documentElement.clientWidth) wrong.push('the page scrolls sideways');
  if (document.querySelectorAll('h1').length !== 1) wrong.push('it has not one first heading');
  if (!document.documentElement.lang) wrong.push('it has no language');
  if (document.querySelectorAll('main').length !== 1) wrong.push('it has not one main part');
  const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
  if (new Set(ids).size !== ids.length) wrong.push('an id stands twice');
  for (const e of document.querySelectorAll('[aria-describedby]')) {
    if (!document.getElementById(e.getAttribute('aria-describedby'))) wrong.push('described by nothing: ' + name(e));
  }
  if (document.querySelector('[style], style')) wrong.push('a style outside the style sheet');
  return wrong;
})()`
