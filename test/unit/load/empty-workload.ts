/** A module that is no workload. */
export const nothing = true;
