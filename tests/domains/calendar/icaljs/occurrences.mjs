// What ical.js makes of a calendar: `node occurrences.mjs <module> <file> <start> <end>` prints [start, end, title].
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [modulePath, file, startText, endText] = process.argv.slice(2);
const ICAL = (await import(pathToFileURL(modulePath))).default;

const calendar = new ICAL.Component(ICAL.parse(readFileSync(file, "utf8")));
for (const zone of calendar.getAllSubcomponents("vtimezone")) {
  ICAL.TimezoneService.register(new ICAL.Timezone(zone));
}
const [start, end] = [new Date(startText), new Date(endText)];

// Days lie wherever somebody is: here in UTC, as asked of the API.
const instant = (time) =>
  time.isDate ? new Date(Date.UTC(time.year, time.month - 1, time.day)) : time.toJSDate();

const events = calendar.getAllSubcomponents("vevent").map((one) => new ICAL.Event(one));
const masters = events.filter((one) => !one.isRecurrenceException());
for (const one of events.filter((each) => each.isRecurrenceException())) {
  masters.find((master) => master.uid === one.uid).relateException(one);
}

const shown = [];
const show = (begins, ends, title) => {
  const [from, to] = [instant(begins), instant(ends)];
  const meets = from.getTime() === to.getTime() ? from >= start && from < end : from < end && to > start;
  if (meets) shown.push([from.toISOString(), to.toISOString(), title]);
};
for (const master of masters) {
  if (!master.isRecurring()) {
    show(master.startDate, master.endDate, master.summary);
    continue;
  }
  const walk = master.iterator();
  for (let next = walk.next(), count = 0; next && count < 5000; next = walk.next(), count += 1) {
    const found = master.getOccurrenceDetails(next);
    show(found.startDate, found.endDate, found.item.summary);
    if (instant(next) > new Date(end.getTime() + 40 * 86400e3)) break;
  }
}
console.log(JSON.stringify(shown));
