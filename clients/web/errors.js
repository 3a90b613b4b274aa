/** 出错时的样子。 What goes wrong, as one kind of error with the server's own code. */

export class AsrError extends Error {
  /**
   * @param {string} code  服务器的错误码；这一侧的是 `unreachable`、`unauthorized`、`connection_lost`、`no_answer`、`already_recording`、`no_session`
   *   · the server's code, or one of these on this side
   * @param {{message?: string, message_en?: string, retryable?: boolean, fatal?: boolean}} [told]  服务器的原话 · what the server said with it
   */
  constructor(code, told = {}) {
    super(told.message ?? code);
    this.name = 'AsrError';
    this.code = code;
    /** 给人看的中文、英文，可能没有 · for people, may be missing */
    this.zh = told.message;
    this.en = told.message_en;
    this.retryable = told.retryable ?? ['unreachable', 'connection_lost', 'no_answer'].includes(code);
    this.fatal = told.fatal ?? false;
    /** 其余字段，如 `field`、`retry_after_ms` · what else it said */
    this.told = told;
  }
}
