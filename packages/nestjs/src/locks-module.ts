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
import { LockClient, type LockClientOptions } from 'mongo-distributed-locks';

const OPTIONS = Symbol('mongo-distributed-locks-nestjs.options');

/** What the client is made of. */
export type LocksModuleOptions = LockClientOptions;

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

  /** Nest makes it. */
  constructor(@Inject(LockClient) client: LockClient) {
    this.#client = client;
  }

  /**
   * @param options As of `LockClient`.
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
    await this.#client.close();
  }
}

function moduleWith(options: Provider): DynamicModule {
  const client = {
    provide: LockClient,
    inject: [OPTIONS],
    useFactory: (options: LocksModuleOptions) => new LockClient(options),
  };
  return { module: LocksModule, global: true, providers: [options, client], exports: [LockClient] };
}
