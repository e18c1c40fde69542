// What n3 expects of Node.js and a browser does not have.
export const setImmediate = (run, ...given) => setTimeout(run, 0, ...given);
