// Compiles the contracts of these tests with npm's solc; usage: node compile.js NODE_MODULES > creation-code.json
const fs = require("fs");
const path = require("path");

const solc = require(path.join(path.resolve(process.argv[2]), "solc"));
const content = fs.readFileSync(path.join(__dirname, "contracts.sol"), "utf8");
const settings = { optimizer: { enabled: true, runs: 200 }, outputSelection: { "*": { "*": ["evm.bytecode.object"] } } };
const input = { language: "Solidity", sources: { "contracts.sol": { content } }, settings };
const output = JSON.parse(solc.compile(JSON.stringify(input)));
const failures = (output.errors || []).filter((entry) => entry.severity === "error");
if (failures.length > 0) {
  console.error(failures[0].formattedMessage);
  process.exit(1);
}
const code = Object.entries(output.contracts["contracts.sol"]).map(([name, built]) => [name, "0x" + built.evm.bytecode.object]);
process.stdout.write(JSON.stringify(Object.fromEntries(code)));
