/** What the page uses of sql.js, which comes without types. */
declare module "sql.js" {
  export type Value = string | number | null;

  export interface Statement {
    bind(values: Record<string, Value>): boolean;
    step(): boolean;
    get(): Value[];
    run(values: Value[]): void;
    free(): boolean;
  }

  export interface Database {
    run(statement: string): void;
    prepare(select: string): Statement;
    create_function(name: string, body: (...values: Value[]) => Value): void;
    create_aggregate<State>(
      name: string,
      functions: { init(): State; step(state: State, ...values: Value[]): State; finalize(state: State): Value },
    ): void;
  }

  export default function initSqlJs(options: { wasmBinary: ArrayBuffer }): Promise<{
    Database: new () => Database;
  }>;
}
