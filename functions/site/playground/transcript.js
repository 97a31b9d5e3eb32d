// The transcript. With timings, a click on a word seeks the audio; without, it is plain text.

import { make } from './dom.js';
import { clock, indexAt } from './timing.js';

const LINGER_SECONDS = 0.25; // a word stays lit in a short pause
const LABEL = 'Transcript. Arrow keys move between words, Enter plays from a word, Space plays and pauses.';

/** `player`: {seek(seconds), play(), toggle()}. */
export function transcript(paper, follow, player) {
	let tokens = []; // {start, end, line, element} in playing order
	let lit = -1;
	let focused = 0; // the one tab stop among the words
	const still = matchMedia('(prefers-reduced-motion: reduce)');

	function set(...children) {
		[tokens, lit, focused] = [[], -1, 0];
		follow.hidden = true;
		paper.replaceChildren(...children);
		paper.scrollTop = 0;
		paper.role = 'group';
		paper.ariaLabel = 'Transcript';
		paper.tabIndex = 0; // long text scrolls by keyboard
	}

	function word({ text, start, end }, line) {
		if (start === undefined) return text;
		const element = make('span', { className: 'word', role: 'button', tabIndex: tokens.length ? -1 : 0, textContent: text });
		element.dataset.index = tokens.length;
		tokens.push({ start, end, line, element });
		return element;
	}

	function setRows(rows) {
		set();
		paper.ariaLabel = LABEL;
		paper.tabIndex = -1; // its words are in the tab order
		paper.append(...rows.map((row, line) => make('p', { className: 'line' },
			make('time', { textContent: clock(row.start) }),
			make('span', {}, ...row.tokens.map((token) => word(token, line))))));
	}

	function focus(index) {
		tokens[focused].element.tabIndex = -1;
		focused = Math.min(Math.max(index, 0), tokens.length - 1);
		tokens[focused].element.tabIndex = 0;
		tokens[focused].element.focus();
	}

	function start() {
		follow.hidden = true;
		player.seek(tokens[focused].start);
		player.play();
	}

	function reveal() {
		const { element } = tokens[lit] ?? {};
		if (!element) return;
		const [view, box] = [paper.getBoundingClientRect(), element.getBoundingClientRect()];
		if (box.top > view.top && box.bottom < view.top + view.height * 0.8) return;
		paper.scrollBy({ top: box.top - view.top - view.height * 0.3, behavior: still.matches ? 'auto' : 'smooth' });
	}

	/** Lights the word at `seconds`, scrolls to it unless the reader has scrolled away, and returns it. */
	function mark(seconds, playing) {
		let index = indexAt(tokens, seconds + 0.001);
		if (seconds > tokens[index]?.end + LINGER_SECONDS) index = -1;
		if (index !== lit) {
			tokens[lit]?.element.classList.remove('now');
			lit = index;
			tokens[lit]?.element.classList.add('now');
			if (playing && follow.hidden) reveal();
		}
		return tokens[lit];
	}

	const yieldToReader = () => {
		if (tokens.length && paper.scrollHeight > paper.clientHeight) follow.hidden = false;
	};
	for (const name of ['wheel', 'touchmove']) paper.addEventListener(name, yieldToReader, { passive: true });
	paper.onpointerdown = ({ target }) => target === paper && yieldToReader(); // its scroll bar
	follow.onclick = () => {
		follow.hidden = true;
		reveal();
	};

	paper.onclick = ({ target }) => {
		const { index } = target.dataset;
		if (!index || String(getSelection())) return; // no word, or text is being selected
		focus(Number(index));
		start();
	};

	paper.onkeydown = (event) => {
		if (event.key.startsWith('Page')) yieldToReader();
		if (!event.target.dataset.index || event.ctrlKey || event.metaKey || event.altKey) return;
		const { line } = tokens[focused];
		const act = {
			ArrowRight: () => focus(focused + 1),
			ArrowLeft: () => focus(focused - 1),
			ArrowDown: () => focus(tokens.findLastIndex((token) => token.line === line) + 1),
			ArrowUp: () => focus(tokens.findIndex((token) => token.line >= line - 1)),
			Home: () => focus(0),
			End: () => focus(tokens.length - 1),
			Enter: start,
			' ': player.toggle,
		}[event.key];
		if (!act) return;
		event.preventDefault();
		if (event.key.length > 1 && event.key !== 'Enter') yieldToReader();
		act();
	};

	return { set, setRows, mark };
}
