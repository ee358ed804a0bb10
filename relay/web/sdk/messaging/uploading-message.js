import { SentMessage } from "../sent-message.js";

/** A message with files to upload: its state is `uploading` at first, and then that of the message itself. */
export class UploadingMessage extends SentMessage {
  /** The progress of all files together, from 0 to 1. */
  progress = 0;
  /** @type {SentMessage | null} the message itself, once its files are uploaded */
  sent = null;
}
