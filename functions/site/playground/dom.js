// Elements by id, and new ones. Text becomes text nodes: this page never parses HTML.
export const $ = (id) => document.getElementById(id);
export const make = (tag, properties, ...children) => {
	const element = Object.assign(document.createElement(tag), properties);
	element.append(...children);
	return element;
};
