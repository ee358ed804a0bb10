// The smallest useful Socket.IO server: a room for each user and one that they name, and an ack when a message was handed on.
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http, { transports: ["websocket"] });
io.on("connection", (socket) => {
  socket.join(socket.handshake.query.user);
  if (socket.handshake.query.room) socket.join(socket.handshake.query.room);
  socket.on("say", (to, text, ack) => {
    io.to(to).emit("said", text);
    ack();
  });
});
http.listen(Number(process.argv[2]), "127.0.0.1");
