// The model picker: a radio per model, with owner, features and the number of online providers.

import { make } from './dom.js';

const span = (className, textContent) => make('span', { className, textContent });

export function picker(list, onPick) {
	let [all, picked] = [[], null];

	const card = (model) => make('label', { className: 'model' },
		make('input', { type: 'radio', name: 'model', value: model.id, checked: model === picked }),
		make('b', { textContent: model.id }),
		make('span', { className: 'facts' },
			span('', `by ${model.owned_by}`),
			span('online', `${model.providers} provider${model.providers === 1 ? '' : 's'} online`),
			...(model.supported_features ?? []).map((feature) => span('chip', feature))));

	list.onchange = ({ target }) => {
		picked = all.find(({ id }) => id === target.value);
		onPick();
	};

	return {
		get picked() { return picked; },
		get all() { return all; },
		/** Shows `models`, keeps the selection, and shows `otherwise` if there are none. */
		set(models, otherwise) {
			all = models;
			picked = all.find(({ id }) => id === picked?.id) ?? all[0] ?? null;
			list.replaceChildren(...(all.length ? all.map(card) : [make('p', { className: 'note', textContent: otherwise })]));
			onPick();
		},
		focus: () => list.querySelector(':checked')?.focus(),
	};
}
