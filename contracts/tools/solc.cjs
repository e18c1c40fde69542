#!/usr/bin/env node
// What forge, slither and build.py call as `solc`: the compiler from npm behind the two options they use. The native
// compiler is a download from a host that a build must not depend on; the npm package is pinned in package-lock.json.
'use strict'
const fs = require('node:fs')
const path = require('node:path')
const solc = require('solc')

const args = process.argv.slice(2)
const values = (name) => args.flatMap((arg, i) => (arg === name ? [args[i + 1]] : []))

if (args.includes('--version')) {
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`)
} else if (args.includes('--standard-json')) {
  const folders = [...values('--base-path'), ...values('--include-path'), path.resolve(__dirname, '..')]
  const read = (name) => {
    for (const folder of folders) {
      const file = path.isAbsolute(name) ? name : path.join(folder, name)
      if (fs.existsSync(file)) return { contents: fs.readFileSync(file, 'utf8') }
    }
    return { error: `File not found: ${name}` }
  }
  process.stdout.write(solc.compile(fs.readFileSync(0, 'utf8'), { import: read }))
} else {
  console.error(`tools/solc.cjs knows --version and --standard-json, not: ${args.join(' ')}`)
  process.exitCode = 2
}
