/**
 * How quickly a queue moves, from the fencing tokens that its lock document had at two looks: each is one caller served.
 * `Positions` asks it, to say how long a wait may take.
 */

export class Pace {
  #fence = 0;
  #born = 0;
  #at = Number.NaN;
  #eachMS: number | null = null;

  /** How long each caller has taken between the looks; null: nobody was served since the first. */
  note({ fence, born }: { readonly fence: number; readonly born: number }, nowMS: number): number | null {
    const served = fence - this.#fence;
    // Tokens start elsewhere in a document that was made anew.
    if (Number.isNaN(this.#at) || born !== this.#born) {
      this.#born = born;
      this.#fence = fence;
      this.#at = nowMS;
      this.#eachMS = null;
    } else if (served > 0) {
      this.#eachMS = (nowMS - this.#at) / served;
      this.#fence = fence;
      this.#at = nowMS;
    }
    return this.#eachMS;
  }
}
