/**
 * Loaded before each test file. A process whose tests have passed and whose event loop has come to its end by itself may still spin for ever while Node takes its
 * environment apart (nodejs/node#47748; seen at `Environment::CleanupHandles`, after connections that stood still). So it ends without that; whatever keeps an event
 * loop alive still keeps its file from ending.
 */
process.once('beforeExit', () => {
  // Registered now, it is the last: what others do at an exit is done.
  process.on('exit', (code) => (process as unknown as { reallyExit(code: number): never }).reallyExit(code));
});
