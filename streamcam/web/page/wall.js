export function open(root, {cameras}) { root.textContent = "wall"; return { close() {} }; }
