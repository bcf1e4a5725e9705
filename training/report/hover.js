// One pointer over all charts, and a lens over the projection. Without this the page is whole too.
const data = JSON.parse(document.getElementById("history").textContent);
const charts = document.querySelector(".charts");
const plots = [...charts.querySelectorAll("svg[role=img]")];
const outputs = [...charts.querySelectorAll("output")];
const last = data.epoch.length - 1;

const short = (value) => {
  if (value === null) return "–";
  const size = Math.abs(value);
  const digits = size >= 1000 ? Math.trunc(size).toString().length : 4;
  const small = size !== 0 && size < 1e-3;
  const text = small
    ? value.toExponential(1)
    : value.toLocaleString("en", { maximumSignificantDigits: digits });
  return text.replace("-", "−");
};

const nearest = (epoch) => {
  const after = data.epoch.findIndex((each) => each >= epoch);
  if (after <= 0) return after === 0 ? 0 : last;
  return epoch - data.epoch[after - 1] < data.epoch[after] - epoch ? after - 1 : after;
};

const place = (plot, epoch) => {
  const { left, right, low, high } = plot.dataset;
  return +left + ((epoch - low) / (high - low)) * (right - left);
};

const show = (index) => {
  for (const plot of plots) {
    const pointer = plot.querySelector(".pointer");
    const x = place(plot, data.epoch[index]);
    pointer.setAttribute("x1", x);
    pointer.setAttribute("x2", x);
  }
  for (const output of outputs) output.textContent = short(data[output.dataset.key][index]);
  charts.dataset.epoch = `epoch ${data.epoch[index].toLocaleString("en")}`;
};

let shown = last;
const move = (index) => {
  shown = Math.min(Math.max(index, 0), last);
  charts.classList.add("reading");
  show(shown);
};
const rest = () => {
  charts.classList.remove("reading");
  show((shown = last));
};

for (const plot of plots) {
  plot.addEventListener("pointermove", (event) => {
    const box = plot.getBoundingClientRect();
    const { left, right, low, high } = plot.dataset;
    const x = ((event.clientX - box.left) / box.width) * plot.viewBox.baseVal.width;
    move(nearest(+low + ((x - left) / (right - left)) * (high - low)));
  });
}
charts.tabIndex = 0;
charts.addEventListener("pointerleave", rest);
charts.addEventListener("blur", rest);
charts.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step) {
    event.preventDefault();
    move(shown + step);
  }
});

const lens = document.querySelector(".lens");
const stage = document.querySelector(".stage");
const SIZE = 88;

const look = (point) => {
  const { columns, width, height } = lens.dataset;
  const grow = SIZE / Math.max(width, height);
  const [w, h] = [width * grow, height * grow];
  const [row, column] = [Math.floor(point.dataset.index / columns), point.dataset.index % columns];
  const box = stage.getBoundingClientRect();
  const at = point.getBoundingClientRect();
  Object.assign(lens.style, {
    width: `${w}px`,
    height: `${h}px`,
    backgroundSize: `${w * columns}px auto`,
    backgroundPosition: `${-column * w}px ${-row * h}px`,
    left: `${Math.min(at.left - box.left + 14, box.width - w - 4)}px`,
    top: `${Math.max(at.top - box.top - h - 10, 4)}px`,
  });
  lens.dataset.name = point.dataset.name ?? "";
  lens.hidden = false;
};

if (lens) {
  stage.addEventListener("pointerover", (event) => {
    const point = event.target.closest(".point");
    if (point) look(point);
    else lens.hidden = true;
  });
  stage.addEventListener("pointerleave", () => (lens.hidden = true));
}
