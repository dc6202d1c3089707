/** What the page uses of sql.js, which comes without types. */
declare module "sql.js" {
  export type Value = string | number | null;

  export interface Statement {
    bind(values: Record<string, Value>): boolean;
    step(): boolean;
    get(): Value[];
    free(): boolean;
  }

  export interface Database {
    prepare(select: string): Statement;
    create_function(name: string, body: (...values: Value[]) => Value): void;
  }

  export default function initSqlJs(options: { wasmBinary: ArrayBuffer }): Promise<{
    Database: new (file: Uint8Array) => Database;
  }>;
}
