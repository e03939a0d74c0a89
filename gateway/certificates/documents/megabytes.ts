/** For a sentence: of 1,048,576 bytes each, three digits at most. */
export const megabytes = (bytes: number): string => String(Number((bytes / 2 ** 20).toPrecision(3)));
