/**
 * The layers of the core, as rules: imports point down only, type imports included, and nothing goes round. Each layer lists what it may import;
 * whatever is not on its list is an error that names the layer and says why. ARCHITECTURE.md draws the picture.
 */

const SRC = '^packages/core/src';

/** What a layer may be allowed to import. */
const BASE = `${SRC}/base/`;
const ERRORS = `${SRC}/errors\\.ts$`;
const EVENTS = `${SRC}/events\\.ts$`;
const OPTIONS = `${SRC}/options\\.ts$`;
const PROTOCOL = `${SRC}/protocol/`;
const PORTS = `${SRC}/ports\\.ts$`;
const ENGINE = `${SRC}/engine/`;
const MONGO = `${SRC}/mongo/`;
const DIAGNOSTICS = `${SRC}/diagnostics\\.ts$`;
const TELEMETRY = `${SRC}/telemetry/`;
const API = `${SRC}/(arguments|checks|client|dlocks|lock|lock-arguments|shutdown)\\.ts$`;
const INDEX = `${SRC}/(index|stored-format|safe-messages)\\.ts$`;
/** Packages resolve to a file inside them, wherever the package manager put it. */
const packaged = (name) => `(^|/)node_modules/${name}/`;

/**
 * One layer's rule. Node's own modules are allowed only where `builtIns` says so.
 */
function layer({ name, from, notFrom, mayImport, builtIns, why }) {
  return {
    name: `layer-${name}`,
    comment: why,
    severity: 'error',
    from: { path: from, ...(notFrom ? { pathNot: notFrom } : {}) },
    to: { pathNot: mayImport, ...(builtIns ? { dependencyTypesNot: ['core'] } : {}) },
  };
}

module.exports = {
  forbidden: [
    layer({
      name: 'base',
      from: BASE,
      notFrom: `${BASE}random\\.ts$`,
      mayImport: [BASE],
      builtIns: true,
      why: "base knows nothing of ours: Node's modules and its own files only.",
    }),
    layer({
      name: 'base-random',
      from: `${BASE}random\\.ts$`,
      mayImport: [BASE, packaged('nanoid')],
      builtIns: true,
      why: 'base/random is base, and the only user of nanoid.',
    }),
    layer({
      name: 'errors',
      from: ERRORS,
      mayImport: [BASE],
      why: 'Every layer throws these errors: they may depend on base alone.',
    }),
    layer({
      name: 'events',
      from: EVENTS,
      mayImport: [BASE, ERRORS, packaged('eventemitter3')],
      why: 'Events are names and plain payloads over base.',
    }),
    layer({
      name: 'options',
      from: OPTIONS,
      mayImport: [BASE, ERRORS],
      why: 'options.ts is the table and its check: it knows neither driver nor engine.',
    }),
    layer({
      name: 'protocol',
      from: PROTOCOL,
      mayImport: [PROTOCOL, ERRORS],
      why: "protocol is pure: no driver, clock, timer, promise or chance, so no module of Node's and no package either.",
    }),
    layer({
      name: 'ports',
      from: PORTS,
      mayImport: [PROTOCOL],
      why: 'A port speaks in facts and commands of the protocol, so that a simulation can stand behind it.',
    }),
    layer({
      name: 'engine',
      from: ENGINE,
      mayImport: [ENGINE, BASE, ERRORS, EVENTS, OPTIONS, PROTOCOL, PORTS],
      why: 'engine and mongo meet at the two ports only, and the engine does not know who calls it.',
    }),
    layer({
      name: 'mongo',
      from: MONGO,
      mayImport: [MONGO, BASE, ERRORS, OPTIONS, PROTOCOL, PORTS, packaged('mongodb')],
      why: 'mongo turns commands into driver calls and changes into facts: it knows neither the engine nor the api.',
    }),
    layer({
      name: 'api',
      from: API,
      mayImport: [
        API,
        ENGINE,
        MONGO,
        DIAGNOSTICS,
        BASE,
        ERRORS,
        EVENTS,
        OPTIONS,
        PROTOCOL,
        PORTS,
        packaged('eventemitter3'),
      ],
      why: 'The api joins engine and mongo; index.ts is for its users, not for it.',
    }),
    layer({
      name: 'diagnostics',
      from: DIAGNOSTICS,
      mayImport: [EVENTS],
      builtIns: true,
      why: "diagnostics.ts is channels and messages: Node's own module, and the types of the events.",
    }),
    layer({
      name: 'telemetry',
      from: TELEMETRY,
      mayImport: [
        TELEMETRY,
        DIAGNOSTICS,
        BASE,
        ERRORS,
        EVENTS,
        PROTOCOL,
        `${SRC}/client\\.ts$`,
        packaged('@opentelemetry/api'),
      ],
      builtIns: true,
      why: 'telemetry is a subscriber like any other: it sees what is published, and the client from outside.',
    }),
    {
      name: 'telemetry-apart',
      comment: 'Only its own subpath may need the optional peer.',
      severity: 'error',
      from: { path: SRC, pathNot: TELEMETRY },
      to: { path: [TELEMETRY, packaged('@opentelemetry/api')] },
    },
    layer({
      name: 'index',
      from: INDEX,
      mayImport: [SRC],
      why: 'index.ts re-exports and nothing else.',
    }),
    {
      name: 'unplaced-file',
      comment: 'A file outside of the layers is checked by no rule: give it a place in the picture first.',
      severity: 'error',
      from: {
        path: SRC,
        pathNot: [BASE, ERRORS, EVENTS, OPTIONS, PROTOCOL, PORTS, ENGINE, MONGO, API, DIAGNOSTICS, TELEMETRY, INDEX],
      },
      to: {},
    },
    {
      name: 'command-line-outside',
      comment: 'The command line is a user like any other: the core by its name, never by its sources.',
      severity: 'error',
      from: { path: '^packages/cli/src' },
      to: { path: SRC },
    },
    {
      name: 'no-cycle',
      comment: 'A cycle, of types too, is one module in several files.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'resolvable',
      comment: 'An import that resolves to nothing is checked by no rule.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)dist/' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['types', 'import', 'node', 'default'],
    },
  },
};
