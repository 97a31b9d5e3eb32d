// "Show me the call": the request as curl, Python and Node.

import { $ } from './dom.js';
import * as snippets from './snippets.js';

const LANGUAGES = ['curl', 'python', 'node'];
let [language, shown] = ['curl', null];

function render() {
	for (const each of LANGUAGES) {
		$(each).ariaSelected = String(each === language);
		$(each).tabIndex = each === language ? 0 : -1;
	}
	$('code').setAttribute('aria-labelledby', language);
	$('code').textContent = snippets[language](shown);
}

export function showCall(call, sent) {
	shown = call;
	$('call-note').textContent = sent ? 'as it was sent' : 'as it will be sent';
	render();
}

$('tabs').onclick = ({ target }) => {
	if (LANGUAGES.includes(target.id)) language = target.id;
	render();
};
$('tabs').onkeydown = ({ key }) => {
	const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
	if (!step) return;
	language = LANGUAGES.at((LANGUAGES.indexOf(language) + step) % 3);
	render();
	$(language).focus();
};
