// Which columns of an answer are places: WKT literals, or pairs of latitude and longitude.
import { isNumber, isWkt } from "./terms.js";

const LAT = /^(.*?)lat(?:itude)?$/i;
const LONG = ["long", "lng", "lon", "longitude"];

export const placesIn = (names, rows) => {
  const some = rows.slice(0, 200);
  const wkt = names.filter((name) => some.some((row) => isWkt(row[name])));
  const pairs = [];
  for (const name of names) {
    const match = LAT.exec(name);
    if (!match || !some.some((row) => isNumber(row[name]))) continue;
    const long = names.find((other) => LONG.some((end) => other.toLowerCase() === (match[1] + end).toLowerCase()));
    if (long && some.some((row) => isNumber(row[long]))) pairs.push([name, long]);
  }
  return { wkt, pairs };
};
