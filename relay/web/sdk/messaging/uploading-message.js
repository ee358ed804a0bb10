import { SentMessage } from "../sent-message.js";

/** A message whose files go up (its state is `uploading` then), and from then on what became of it. */
export class UploadingMessage extends SentMessage {
  /** From 0 to 1, of all files together. */
  progress = 0;
  /** @type {SentMessage | null} the message itself, once its files are up */
  sent = null;
}
