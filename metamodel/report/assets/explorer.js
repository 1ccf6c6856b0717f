"use strict";
// The prompt explorer: a list of prompts beside one that is open. Texts arrive cut into segments, so that nothing here
// counts characters; all of them are set with textContent.
(() => {
  const CHUNK = 60;
  const PRINTED = 10;
  const FOLD = 700;
  const MINUS = "\u2212";
  let nExplorers = 0;

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === true) element.setAttribute(name, "");
      else if (value !== false && value != null) element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child != null));
    return element;
  };
  const isolated = (text) => make("bdi", {}, text);
  const signed = (value, digits) => (value < 0 ? MINUS : "+") + Math.abs(value).toFixed(digits);
  const clipped = (text, length) => {
    const characters = [...text];
    return characters.length > length ? `${characters.slice(0, length).join("")}…` : text;
  };
  const textOf = (segments) => segments.map((segment) => (typeof segment === "string" ? segment : segment[1])).join("");

  const mount = (root, data) => {
    const prefix = `explorer-${(nExplorers += 1)}`;
    const flags = data.flags;
    const columnOf = new Map(data.columns.map(([behavior, metamodel], place) => [`${behavior} ${metamodel}`, place]));
    const rows = data.rows;
    const haystacks = rows.map((row) =>
      [textOf(row.prompt), ...row.outs.map((out) => textOf(out.t)), data.domains[row.d], row.id].join("\n").toLowerCase(),
    );
    const state = { behavior: 0, metamodel: -1, shown: [], active: -1, rendered: 0, wanted: {} };

    // What is asked of a row: the column of a behavior under the chosen metamodel, or under the row's best one.
    const metamodelOf = (row, behavior) => (state.metamodel >= 0 ? state.metamodel : data.best[row.p][behavior]);
    const columnFor = (row, behavior) => columnOf.get(`${behavior} ${metamodelOf(row, behavior)}`);
    const isBinary = (behavior) => data.behaviors[behavior].outcomes.length === 2;
    const predicted = (row, behavior) => {
      const column = columnFor(row, behavior);
      const value = column === undefined ? null : row.pred[column];
      if (value == null) return null;
      if (!isBinary(behavior)) return { code: value[0][0], probability: value[0][1], all: value };
      return { code: value >= 0.5 ? 1 : 0, probability: value, all: [[1, value]] };
    };
    const observed = (row, behavior) => row.seen[behavior];
    const bitsOf = (row, behavior) => {
      const column = columnFor(row, behavior);
      return column === undefined ? null : row.bits[column];
    };
    const isRight = (row, behavior) => {
      const guess = predicted(row, behavior);
      const seen = observed(row, behavior);
      return guess === null || !seen.length ? null : guess.code === seen[0][0];
    };
    const outcomeName = (behavior, code) => data.behaviors[behavior].outcomes[code] ?? "?";
    const predictionText = (behavior, guess) => {
      if (guess === null) return "not predicted";
      return guess.all.map(([code, probability]) => `${outcomeName(behavior, code)} ${probability.toFixed(2)}`).join(", ");
    };
    const observedText = (row, behavior) => {
      const seen = observed(row, behavior);
      const n = seen.reduce((sum, [, count]) => sum + count, 0);
      if (!n) return "no label";
      if (n === 1) return outcomeName(behavior, seen[0][0]);
      return seen.map(([code, count]) => `${outcomeName(behavior, code)} ${count}/${n}`).join(", ");
    };

    // Marked texts.
    const classesOf = (mark) =>
      Object.entries(flags).filter(([, flag]) => mark & flag).map(([name]) => `explorer-${name}`).join(" ");
    const segmentNode = (segment) => {
      if (typeof segment === "string") return document.createTextNode(segment);
      const [mark, text] = segment;
      if (mark & (flags.copied | flags.loop)) return make("mark", { class: classesOf(mark) }, text);
      return make("span", { class: classesOf(mark) }, text);
    };
    const cutNode = (n) =>
      n ? make("span", { class: "explorer-cut" }, ` … ${n.toLocaleString("en")} more characters not shown`) : null;
    const folded = (box, length) => {
      if (length <= FOLD) return box;
      const button = make("button", { type: "button", class: "explorer-unfold", "aria-expanded": "false" }, "Show all of it");
      box.classList.add("explorer-folded");
      button.addEventListener("click", () => {
        const isFolded = box.classList.toggle("explorer-folded");
        button.setAttribute("aria-expanded", String(!isFolded));
        button.textContent = isFolded ? "Show all of it" : "Fold";
      });
      return make("div", {}, box, button);
    };
    const promptNode = (row, behavior) => {
      const box = make("div", { class: "explorer-text", dir: "auto" });
      const isBest = metamodelOf(row, behavior) === data.best[row.p][behavior];
      const words = isBest ? (row.words[behavior] ?? []).filter(([first]) => first >= 0) : [];
      const starts = new Map(words.map((word) => [word[0], word]));
      for (let place = 0; place < row.prompt.length; place += 1) {
        const word = starts.get(place);
        if (!word) {
          box.append(segmentNode(row.prompt[place]));
          continue;
        }
        const [first, end, effect] = word;
        const kind = effect > 0 ? "explorer-raises" : "explorer-lowers";
        const strength = Math.abs(effect) >= 0.1 ? " explorer-strong" : "";
        box.append(make("mark", { class: kind + strength, title: `${signed(effect, 2)} with this word` },
          ...row.prompt.slice(first, end).map(segmentNode)));
        place = end - 1;
      }
      box.append(...[cutNode(row.cut)].filter(Boolean));
      return folded(box, textOf(row.prompt).length);
    };
    const wordsNode = (row, behavior) => {
      const name = data.metamodels[data.best[row.p][behavior]];
      if (name === undefined) return null;
      const target = isBinary(behavior) ? outcomeName(behavior, 1) : "its likeliest outcome";
      const isBest = metamodelOf(row, behavior) === data.best[row.p][behavior];
      const words = row.words[behavior];
      const line = make("p", { class: "explorer-words" });
      if (!isBest) line.append("Words are known for ", isolated(name), " alone, the best metamodel of this behavior.");
      else if (words === undefined) line.append("Which words moved this prediction was not asked.");
      else if (!words.length) line.append("No single word moved the prediction by ", isolated(name), " by 0.005 or more.");
      else {
        line.append("Left out one by one, these words change the probability that ", isolated(name), " gives to ", isolated(target), ": ");
        words.forEach(([, , effect, text], place) => {
          line.append(place ? ", " : "", make("bdi", { class: "explorer-word" }, text), ` ${signed(effect, 2)}`);
        });
        line.append(".");
      }
      return line;
    };
    const outputNode = (row, out, place) => {
      const facts = [];
      if (out.f) facts.push(`ended: ${out.f}`);
      if (out.copied) facts.push(`${out.copied} characters copied from the prompt`);
      if (out.loop) facts.push(`loops from character ${out.loop[0]} on, period ${out.loop[1]}, ${out.loop[2]} times`);
      const line = make("p", { class: "explorer-facts" }, facts.join("; "));
      const tags = make("ul", { class: "explorer-labels", "aria-label": "Labels" });
      data.behaviors.forEach((one, at) => {
        if (out.codes[at] != null) tags.append(make("li", {}, isolated(one.name), ": ", make("b", {}, isolated(outcomeName(at, out.codes[at])))));
      });
      const box = make("div", { class: "explorer-text", dir: "auto" }, ...out.t.map(segmentNode));
      if (!out.t.length) box.append(make("span", { class: "explorer-cut" }, "empty"));
      box.append(...[cutNode(out.cut)].filter(Boolean));
      const heading = row.outs.length > 1 ? `Output ${place + 1}` : "Output";
      return make("section", { class: "explorer-output" }, make("h5", {}, heading), folded(box, textOf(out.t).length), facts.length ? line : null, tags);
    };
    const predictionsNode = (row) => {
      const body = make("tbody");
      data.behaviors.forEach((behavior, at) => {
        const columns = data.columns.map((pair, place) => [...pair, place]).filter(([of, , place]) => of === at && row.pred[place] != null);
        columns.forEach(([, metamodel, place], line) => {
          const value = row.pred[place];
          const guess = isBinary(at) ? { all: [[1, value]] } : { all: value };
          const isBaseline = data.baselines.includes(metamodel);
          const tr = make("tr", { class: (isBaseline ? "explorer-baseline" : "") + (metamodel === metamodelOf(row, at) ? " explorer-chosen" : "") });
          if (!line) tr.append(make("th", { scope: "rowgroup", rowspan: columns.length }, isolated(behavior.name), make("span", { class: "explorer-seen" }, `came: ${observedText(row, at)}`)));
          const bits = row.bits[place];
          tr.append(make("td", {}, isolated(data.metamodels[metamodel]), isBaseline ? " (baseline)" : ""),
            make("td", {}, isolated(predictionText(at, guess))), make("td", { class: "explorer-number" }, bits == null ? "–" : bits.toFixed(2)));
          body.append(tr);
        });
      });
      const head = make("tr", {}, ...["Behavior", "Metamodel", "Predicted", "Bits lost"].map((name) => make("th", { scope: "col" }, name)));
      return make("div", { class: "explorer-scroll" }, make("table", {}, make("thead", {}, head), body));
    };
    const detailNodes = (row) => {
      const why = row.why === null ? "a random prompt" : `picked for how much ${data.behaviors[row.why].name} surprised its best metamodel`;
      const facts = [data.domains[row.d], data.splits[row.s], data.primaries.length > 1 ? data.primaries[row.p] : null, why, `prompt ${row.id}`];
      const line = make("p", { class: "explorer-facts" });
      facts.filter(Boolean).forEach((fact, place) => line.append(place ? " · " : "", isolated(fact)));
      const more = row.more > 0 ? make("p", { class: "explorer-facts" }, `${row.more} more outputs are in the run directory.`) : null;
      return [line, make("h5", {}, "Prompt"), promptNode(row, state.behavior), wordsNode(row, state.behavior),
        ...row.outs.map((out, place) => outputNode(row, out, place)), row.outs.length ? null : make("p", {}, "No output is stored."), more,
        make("h5", {}, "Predictions"), predictionsNode(row)].filter(Boolean);
    };

    // Controls.
    const choice = (label, options, key) => {
      const select = make("select", { "data-key": key }, ...options.map(([value, text]) => make("option", { value }, text)));
      return [make("label", { class: "explorer-field" }, make("span", {}, label), select), select];
    };
    const named = (names) => names.map((name, place) => [place, name]);
    const [primaryLabel, primary] = choice("Primary model", [["", "all"], ...named(data.primaries)], "primary");
    const [domainLabel, domain] = choice("Domain", [["", "all"], ...named(data.domains)], "domain");
    const [behaviorLabel, behavior] = choice("Behavior", named(data.behaviors.map((one) => one.name)), "behavior");
    const [metamodelLabel, metamodel] = choice("Metamodel", [[-1, "the best of each"], ...named(data.metamodels)], "metamodel");
    const [outcomeLabel, outcome] = choice("What came", [["", "anything"]], "outcome");
    const [rightLabel, right] = choice("Prediction", [["", "right or wrong"], ["right", "right"], ["wrong", "wrong"]], "right");
    const [orderLabel, order] = choice("Sort by", [["bits", "bits lost"], ["probability", "predicted probability"], ["domain", "domain"]], "order");
    const search = make("input", { type: "search", "data-key": "search", spellcheck: "false" });
    const searchLabel = make("label", { class: "explorer-field" }, make("span", {}, "Text"), search);
    primaryLabel.hidden = data.primaries.length < 2;
    const count = make("output", { class: "explorer-count", role: "status", "aria-live": "polite" });
    const controls = make("div", { class: "explorer-controls", role: "group", "aria-label": "Filter prompts" },
      behaviorLabel, metamodelLabel, domainLabel, primaryLabel, outcomeLabel, rightLabel, orderLabel, searchLabel);
    const list = make("ul", { class: "explorer-list", role: "listbox", tabindex: "0", "aria-label": "Prompts", "aria-controls": `${prefix}-detail`, id: `${prefix}-list` });
    const title = make("h4", { class: "explorer-title", id: `${prefix}-title` }, "No prompt");
    const body = make("div", { class: "explorer-body" });
    const detail = make("article", { class: "explorer-detail", id: `${prefix}-detail`, tabindex: "-1", "aria-labelledby": `${prefix}-title` }, title, body);
    const printed = make("div", { class: "explorer-printed" });
    const sample = (kind, text, ...rest) => make("li", {}, make("mark", { class: kind }, text), ...rest);
    const legend = make("ul", { class: "explorer-legend", "aria-label": "What the marks mean" },
      sample("explorer-copied", "dotted line", `: copied from the prompt, at least ${data.copy[0]} words in a row (${data.copy[1]} characters in scripts without spaces)`),
      make("li", {}, make("mark", { class: "explorer-loop" }, "one"), make("mark", { class: "explorer-loop explorer-cycle" }, "cycle"), ": the output loops; each bar begins a cycle of its period"),
      sample("explorer-raises", "solid line", ": the word makes the outcome likelier"),
      sample("explorer-lowers", "wavy line", ": the word makes it less likely; thick from 0.1 on"),
      make("li", {}, make("span", { class: "explorer-control" }, "U+200B"), ": a character that cannot be seen, by its number"));
    const help = make("p", { class: "explorer-facts", id: `${prefix}-help` },
      "Up and down choose a prompt, Enter goes to it, Escape comes back. Bits lost: minus log2 of the probability given to what came. Right: the likeliest predicted outcome is the most frequent label. A word's effect is the probability with it less that without it: it tells what the metamodel does, not why the primary model behaves so.");
    const notes = make("ul", { class: "explorer-notes" }, ...data.notes.map((note) => make("li", {}, isolated(note))));
    list.setAttribute("aria-describedby", `${prefix}-help`);
    root.append(make("div", { class: "explorer" }, controls, count, make("div", { class: "explorer-panes" }, list, detail), printed, legend, help, notes));

    const fillOutcomes = () => {
      const kept = outcome.value;
      const names = data.behaviors[state.behavior].outcomes;
      outcome.replaceChildren(make("option", { value: "" }, "anything"), ...named(names).map(([value, text]) => make("option", { value }, text)));
      outcome.value = names[Number(kept)] !== undefined && kept !== "" ? kept : "";
    };
    const optionNode = (place) => {
      const row = rows[state.shown[place]];
      const bits = bitsOf(row, state.behavior);
      const verdict = isRight(row, state.behavior);
      const mark = verdict === null ? "" : verdict ? "right" : "wrong";
      return make("li", { role: "option", id: `${prefix}-option-${place}`, "aria-selected": String(place === state.active), "data-place": place },
        make("span", { class: "explorer-line" }, isolated(clipped(textOf(row.prompt).replaceAll("\n", " "), 90))),
        make("span", { class: "explorer-meta" }, isolated(data.domains[row.d]), ` · predicted ${predictionText(state.behavior, predicted(row, state.behavior))} · came ${observedText(row, state.behavior)}`,
          make("span", { class: `explorer-verdict explorer-${mark || "none"}` }, [mark, bits == null ? "no bits" : `${bits.toFixed(2)} bits`].filter(Boolean).join(", "))));
    };
    const renderUntil = (place) => {
      const end = Math.min(Math.max(place + 1, state.rendered), state.shown.length);
      const fresh = [];
      for (let at = state.rendered; at < end; at += 1) fresh.push(optionNode(at));
      list.append(...fresh);
      state.rendered = Math.max(state.rendered, end);
    };
    const open = (place) => {
      const before = list.querySelector('[aria-selected="true"]');
      before?.setAttribute("aria-selected", "false");
      state.active = place;
      if (place < 0) {
        list.removeAttribute("aria-activedescendant");
        title.textContent = "No prompt fits";
        body.replaceChildren();
        return;
      }
      renderUntil(place + CHUNK / 2);
      const option = list.children[place];
      option.setAttribute("aria-selected", "true");
      list.setAttribute("aria-activedescendant", option.id);
      // Not scrollIntoView, which would move the page too. The list is what offsets count from.
      const top = option.offsetTop;
      if (top < list.scrollTop) list.scrollTop = top;
      else if (top + option.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = top + option.offsetHeight - list.clientHeight;
      const row = rows[state.shown[place]];
      title.replaceChildren(isolated(`${data.behaviors[state.behavior].name}: prompt ${place + 1} of ${state.shown.length}`));
      body.replaceChildren(...detailNodes(row));
      detail.scrollTop = 0;
    };
    const pageWants = (row) => {
      const wanted = state.wanted;
      const fits = (facet, name) => !wanted[facet] || wanted[facet] === name;
      return fits("primary", data.primaries[row.p]) && fits("domain", data.domains[row.d]);
    };
    const apply = () => {
      state.behavior = Number(behavior.value);
      state.metamodel = Number(metamodel.value);
      const needle = search.value.trim().toLowerCase();
      const fits = (row, at) =>
        pageWants(row) && (primary.value === "" || row.p === Number(primary.value)) && (domain.value === "" || row.d === Number(domain.value)) &&
        (outcome.value === "" || row.seen[state.behavior].some(([code]) => code === Number(outcome.value))) &&
        (right.value === "" || isRight(row, state.behavior) === (right.value === "right")) && (!needle || haystacks[at].includes(needle));
      const shown = rows.map((row, at) => at).filter((at) => fits(rows[at], at));
      const keys = new Map(shown.map((at) => {
        const row = rows[at];
        if (order.value === "domain") return [at, row.d];
        const value = order.value === "bits" ? bitsOf(row, state.behavior) : predicted(row, state.behavior)?.probability;
        return [at, value == null ? Infinity : -value];
      }));
      // Infinity less Infinity is no number: those without a figure keep their order at the end.
      shown.sort((a, b) => (keys.get(a) === keys.get(b) ? a - b : keys.get(a) - keys.get(b)));
      state.shown = shown;
      state.rendered = 0;
      list.replaceChildren();
      list.scrollTop = 0;
      renderUntil(CHUNK);
      open(shown.length ? 0 : -1);
      const whole = data.total > rows.length ? `, a sample of ${data.total.toLocaleString("en")}` : "";
      count.textContent = `${shown.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} prompts shown${whole}`;
    };

    controls.addEventListener("input", (event) => {
      if (event.target === behavior) {
        state.behavior = Number(behavior.value);
        fillOutcomes();
      }
      apply();
    });
    list.addEventListener("scroll", () => {
      if (list.scrollTop + 2 * list.clientHeight > list.scrollHeight) renderUntil(state.rendered + CHUNK);
    });
    list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) open(Number(option.dataset.place));
    });
    list.addEventListener("keydown", (event) => {
      const last = state.shown.length - 1;
      const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };
      if (event.ctrlKey || event.metaKey || event.altKey || last < 0) return;
      if (event.key === "Enter") detail.focus();
      else if (event.key in steps) open(Math.min(Math.max(state.active + steps[event.key], 0), last));
      else return;
      event.preventDefault();
    });
    detail.addEventListener("keydown", (event) => {
      if (event.key === "Escape") list.focus();
    });
    root.addEventListener("facets", (event) => {
      state.wanted = event.detail ?? {};
      const place = data.behaviors.findIndex((one) => one.name === state.wanted.behavior);
      if (place >= 0 && String(place) !== behavior.value) {
        behavior.value = String(place);
        state.behavior = place;
        fillOutcomes();
      }
      const who = data.metamodels.indexOf(state.wanted.metamodel);
      if (state.wanted.metamodel && who >= 0) metamodel.value = String(who);
      apply();
    });
    // On paper the first prompts stand open, one below the other.
    const print = (isPrinting) => {
      if (!isPrinting) return printed.replaceChildren();
      if (printed.childElementCount) return undefined;
      const opened = state.shown.slice(0, PRINTED).map((at, place) => {
        const part = make("section", { class: "explorer-detail" }, make("h4", {}, `Prompt ${place + 1} of ${state.shown.length}`), ...detailNodes(rows[at]));
        for (const box of part.querySelectorAll(".explorer-folded")) box.classList.remove("explorer-folded");
        return part;
      });
      return printed.append(make("p", {}, `The first ${opened.length} of ${state.shown.length} prompts by ${order.selectedOptions[0].textContent}:`), ...opened);
    };
    addEventListener("beforeprint", () => print(true));
    addEventListener("afterprint", () => print(false));
    matchMedia("print").addEventListener("change", (event) => print(event.matches));
    fillOutcomes();
    apply();
  };
  (window.metamodelWidgets ??= {}).explorer = mount;
})();
