// Compiles our own contracts and Morpho Blue with npm's solc; usage: node compile.js NODE_MODULES > artifacts.json
const fs = require("fs");
const path = require("path");

const modules = path.resolve(process.argv[2]);
const solc = require(path.join(modules, "solc"));
const morpho = "@morpho-org/morpho-blue/src/";
const readModule = (name) => fs.readFileSync(path.join(modules, name), "utf8");

const sources = { "contracts.sol": { content: fs.readFileSync(path.join(__dirname, "contracts.sol"), "utf8") } };
for (const name of ["Morpho.sol", "mocks/IrmMock.sol"]) sources[morpho + name] = { content: readModule(morpho + name) };

const findImport = (name) => {
  try {
    return { contents: readModule(name) };
  } catch (error) {
    return { error: String(error) };
  }
};
// The metadata hash is left out so that the bytecode, and with it every block hash, does not depend on folders.
const settings = {
  optimizer: { enabled: true, runs: 200 },
  metadata: { bytecodeHash: "none" },
  outputSelection: { "*": { "*": ["evm.bytecode.object"] } },
};
const output = JSON.parse(
  solc.compile(JSON.stringify({ language: "Solidity", sources, settings }), { import: findImport }),
);
const failures = (output.errors || []).filter((entry) => entry.severity === "error");
if (failures.length > 0) {
  console.error(failures[0].formattedMessage);
  process.exit(1);
}
const creationCode = {};
for (const contracts of Object.values(output.contracts))
  for (const [name, contract] of Object.entries(contracts))
    if (contract.evm.bytecode.object) creationCode[name] = "0x" + contract.evm.bytecode.object;
process.stdout.write(JSON.stringify(creationCode));
