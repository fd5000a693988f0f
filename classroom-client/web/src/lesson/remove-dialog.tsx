// Being taken out of a lesson has consequences for a child, so whoever does it is asked first.

import { t } from "../i18n/index.ts";
import { Button } from "../ui/controls.tsx";
import { Dialog } from "../ui/dialog.tsx";

interface Props {
  name: string;
  words: { removeTitle: (name: string) => string; removeText: string; remove: string };
  onClose: () => void;
  onRemove: () => void;
}

export function RemoveDialog({ name, words, onClose, onRemove }: Props) {
  const remove = () => {
    onClose();
    onRemove();
  };
  return (
    <Dialog
      title={words.removeTitle(name)}
      testId="remove-dialog"
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>{t.value.line.cancel}</Button>
          <Button look="danger" testId="remove-confirm" onClick={remove}>
            {words.remove}
          </Button>
        </>
      }
    >
      <p>{words.removeText}</p>
    </Dialog>
  );
}
