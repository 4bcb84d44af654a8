/**
 * The module: one `LockClient` for the application, to be injected by its class, closed when the application shuts down. Which lock
 * is held where is `locked.ts`. Users import it once, in their root module.
 */
import {
  type DynamicModule,
  type FactoryProvider,
  Inject,
  Module,
  type ModuleMetadata,
  type OnApplicationShutdown,
  type Provider,
} from '@nestjs/common';
import { LockClient, type LockClientOptions, LockInvalidOptionError } from 'mongo-distributed-locks';

const OPTIONS = Symbol('mongo-distributed-locks-nestjs.options');
const GRACE_MS = 10_000;

/** What the client is made of, and how it ends. */
export type LocksModuleOptions = LockClientOptions & {
  /**
   * For how long the locks held at shutdown may still be held, in milliseconds: 0 or more, default 10,000. New calls and those that
   * wait are refused at once; what is held after that is released, and its `signal` aborted.
   */
  readonly graceMS?: number;
};

/** Options that are made of what Nest injects, such as a connection. */
export interface LocksModuleAsyncOptions extends Pick<ModuleMetadata, 'imports'> {
  /** What the factory is given, in order. */
  readonly inject?: NonNullable<FactoryProvider['inject']>;
  /** Makes the options, at once or later. */
  readonly useFactory: (...injected: never[]) => LocksModuleOptions | Promise<LocksModuleOptions>;
}

/**
 * Fair locks for a Nest application: `LocksModule.forRoot({ uri })` in the root module, `LockClient` in any constructor, `@Locked()`
 * on any method of a provider. The module is global, and there is one client; a second one, for another database, is a provider of
 * your own.
 *
 * The client connects with its first call; `await app.get(LockClient).connect()` does so at the start. It is closed in
 * `onApplicationShutdown`, which follows the last request: call `app.enableShutdownHooks()`, or `app.close()`, or the locks of a
 * process that ends are free only after its lease.
 */
@Module({})
export class LocksModule implements OnApplicationShutdown {
  readonly #client: LockClient;
  readonly #graceMS: number;

  /** Nest makes it. */
  constructor(@Inject(LockClient) client: LockClient, @Inject(OPTIONS) { graceMS = GRACE_MS }: LocksModuleOptions) {
    this.#client = client;
    this.#graceMS = graceMS;
  }

  /**
   * @param options As of `LockClient`, and `graceMS`.
   * @throws `LOCK_INVALID_OPTION` when the application is made, with all that is wrong.
   */
  static forRoot(options: LocksModuleOptions): DynamicModule {
    return moduleWith({ provide: OPTIONS, useValue: options });
  }

  /**
   * @param options `useFactory` gives the options of `forRoot`; `inject` and `imports` say what of.
   * @throws As `forRoot`, and what the factory throws.
   */
  static forRootAsync({ imports = [], inject = [], useFactory }: LocksModuleAsyncOptions): DynamicModule {
    const factory = useFactory as FactoryProvider['useFactory'];
    return { ...moduleWith({ provide: OPTIONS, inject, useFactory: factory }), imports };
  }

  /** Nest calls it. Never rejects. */
  async onApplicationShutdown(): Promise<void> {
    await this.#client.close({ graceMS: this.#graceMS });
  }
}

function moduleWith(options: Provider): DynamicModule {
  const client = { provide: LockClient, inject: [OPTIONS], useFactory: clientOf };
  return { module: LocksModule, global: true, providers: [options, client], exports: [LockClient] };
}

/** A wrong `graceMS` is to be known when the application starts, and not when it ends. */
function clientOf({ graceMS = GRACE_MS, ...options }: LocksModuleOptions): LockClient {
  if (typeof graceMS !== 'number' || !(graceMS >= 0)) {
    throw new LockInvalidOptionError(['"graceMS" must be a number of milliseconds, 0 or more.']);
  }
  return new LockClient(options as LockClientOptions);
}
