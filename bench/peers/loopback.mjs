// Portkey's gateway listens on every interface and has no option for another address: make it listen on this machine only.
import { Server } from "node:net";

const listen = Server.prototype.listen;
Server.prototype.listen = function (port, _host, ...rest) {
  return listen.call(this, port, "127.0.0.1", ...rest);
};
